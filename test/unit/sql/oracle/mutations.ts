import fc from 'fast-check'

/** Changes one text into another. */
type Mutation = (text: string, at: number, other: string) => string

const PIECES = [
  ' ',
  '\n',
  '\r',
  '\t',
  '\f',
  "'",
  "''",
  '"',
  '""',
  '$$',
  '$a$',
  '$',
  '$1',
  '\\',
  "\\'",
  "e'",
  "E'\\'",
  "u&'",
  "b'",
  "x'",
  "n'",
  '/*',
  '*/',
  '/**/',
  '/* ; */',
  '/* /* */ */',
  "/* ' */",
  '--',
  '-- x\n',
  "-- '\n",
  '-- ;\r',
  ';',
  '; commit',
  '; commit;',
  ';rollback;',
  '(',
  ')',
  '()',
  '[',
  ']',
  '.',
  ',',
  '::',
  '+',
  '-',
  '*',
  '/',
  '=',
  '<',
  '@',
  '?',
  '#',
  ':',
  ' f(',
  ' f(1)',
  ' as t(a)',
  ' for update',
  ' into a ',
  ' with ',
  ' as ',
  ' end ',
  ' begin ',
  ' atomic ',
  ' begin atomic ',
  ' case ',
  ' hold ',
  ' returning ',
  'ä',
  '1',
  'e',
  '_',
]

/** Where a token may end: what is inserted there leaves most texts whole. */
function boundary(text: string, at: number): number {
  const boundaries = [...text.matchAll(/\s|\b|$/g)].map(({ index }) => index)
  return boundaries[at % boundaries.length] ?? 0
}

const inserted = (text: string, at: number, piece: string): string => text.slice(0, at) + piece + text.slice(at)
const spaces = ['/* ; */', '-- ;\n', '/* /* \' */ " */', ' \n', '\t', "-- it's\r", '/**/', '/***/']

const MUTATIONS: readonly Mutation[] = [
  (text, at) => inserted(text, boundary(text, at), ` ${spaces[at % spaces.length]} `),
  (text, at) => text.replaceAll(/ /g, () => ` ${spaces[at++ % spaces.length]} `),
  (text, at) => inserted(text, at % (text.length + 1), PIECES[at % PIECES.length] as string),
  (text, at) => inserted(text, boundary(text, at), PIECES[(at >> 3) % PIECES.length] as string),
  (text, at) => text.slice(0, at % (text.length + 1)) + text.slice((at % (text.length + 1)) + 1 + (at % 3)),
  (text) => text.toUpperCase(),
  (text, at) => [...text].map((each, index) => ((at >> (index % 16)) & 1 ? each.toUpperCase() : each)).join(''),
  (text, _at, other) => `${text}; ${other}`,
  (text, _at, other) => `${text};${other};`,
  (text) => `begin; ${text}; commit`,
  (text) => `(${text})`,
  (text) => `do $do$ begin ${text}; end $do$`,
  (text) => `create function f() returns int begin atomic ${text}; end`,
  (text, _at, other) => `create procedure f() begin atomic ${text}; ${other}; end; commit`,
  (text, _at, other) => `create rule r as on insert to t do also (${text}; ${other}); end`,
  (text) => `prepare p as ${text}`,
  (text) => `explain analyze ${text}`,
  (text) => `declare c cursor with hold for ${text}`,
  (text) => `with x as (${text}) select * from x`,
  (text) => `select * from (${text}) x(a, b)`,
  (text) => `select '${text.replaceAll("'", "''")}'`,
  (text) => `select e'${text.replaceAll(/['\\]/g, '\\$&')}'; commit`,
  (text) => `select $q$${text}$q$; ${text}`,
  (text) => `/* ${text} */ ${text}`,
  (text) => `-- ${text.replaceAll(/[\n\r]/g, ' ')}\n${text}`,
  (text) => `select "${text.replaceAll('"', '""')}"`,
  (text) => text.replaceAll(/'([^'\\]*)'/g, '$$$$$1$$$$'),
  (text) => text.replaceAll(/'([^'\\]*)'/g, "E'$1\\\\'"),
  (text) => text.replaceAll(/\bselect\b/gi, 'select distinct on (z)'),
  (text) => text.replaceAll(/\b([a-z])\b/g, '"$1"'),
]

/** A text of the corpus, changed at random: by one to four changes. */
export function mutated(corpus: readonly string[]): fc.Arbitrary<string> {
  const text = fc.constantFrom(...corpus)
  const change = fc.tuple(fc.constantFrom(...MUTATIONS), fc.nat(2 ** 16), text)
  return fc
    .tuple(text, fc.array(change, { minLength: 1, maxLength: 4 }))
    .map(([first, changes]) => changes.reduce((each, [mutate, at, other]) => mutate(each, at, other), first))
}
