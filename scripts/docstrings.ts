/** What a docstring says: its text without the tags, and the tags by name. */
export interface Docstring {
  readonly text: string
  readonly tags: ReadonlyMap<string, string>
}

/** A documented part of a source: a member of an interface, a class, a member of a union. */
export interface Documented {
  readonly name: string
  readonly doc: Docstring
}

/** A member of an interface, with its type as it is written, without `undefined`. */
export interface Member extends Documented {
  readonly type: string
}

/** An error class, with the class that it extends and its source. */
export interface DocumentedClass extends Documented {
  readonly base: string
  readonly body: string
}

/** An event, with its fields besides `type`. */
export interface DocumentedEvent extends Documented {
  readonly fields: readonly Documented[]
}

/**
 * The sources are read as text: they all have the form that the formatter gives them, and TypeScript 7 has no compiler
 * API. Whatever can't be found is an error, so that nothing is left out in silence.
 */
const DOC = String.raw`\/\*\*((?:(?!\*\/)[\s\S])*)\*\/`

/** The members of an interface that have a docstring. */
export function membersOf(source: string, name: string): Member[] {
  const body = bodyAfter(source, new RegExp(String.raw`^export interface ${name}\b[^{]*\{`, 'm'), '\n}\n')
  return [...body.matchAll(new RegExp(String.raw`(?:${DOC}\s*)?^  readonly (\w+)\??: (.*)$`, 'gm'))].map(
    ([, doc, member = '', type = '']) => ({
      name: member,
      doc: docstring(doc, `${name}.${member}`),
      type: type.replace(/ \| undefined$/, '').replace(/^\((.*)\)$/, '$1'),
    }),
  )
}

/** The exported classes of a source. */
export function classesOf(source: string): DocumentedClass[] {
  const pattern = new RegExp(String.raw`(?:${DOC}\n)?export class (\w+) extends (\w+) \{`, 'g')
  return [...source.matchAll(pattern)].map(([found, doc, name = '', base = '']) => ({
    name,
    base,
    doc: docstring(doc, name),
    body: source.slice(source.indexOf(found) + found.length).split('\n}\n')[0] ?? '',
  }))
}

/** The members of a union of objects that are told apart by `type`. */
export function eventsOf(source: string, union: string): DocumentedEvent[] {
  const body = bodyAfter(source, new RegExp(`^export type ${union} =`, 'm'), /\n\n/)
  const pattern = new RegExp(String.raw`(?:${DOC}\s*)?\| \(?\{\s*readonly type: '([\w-]+)'`, 'g')
  const found = [...body.matchAll(pattern)]
  return found.map((match, index) => {
    const [, doc, name = ''] = match
    const rest = body.slice(match.index + match[0].length, found[index + 1]?.index)
    return { name, doc: docstring(doc, name), fields: [...fieldsIn(rest), ...fieldsOfIntersected(source, rest)] }
  })
}

/** The members of a union of texts. */
export function literalsOf(source: string, union: string): Documented[] {
  const body = bodyAfter(source, new RegExp(`^export type ${union} =`, 'm'), /\n\n/)
  const literals = body.matchAll(new RegExp(String.raw`(?:${DOC}\s*)?\| '([\w-]+)'(?: \/\/ (.*))?`, 'g'))
  return [...literals].map(([, doc, name = '', comment]) => ({ name, doc: docstring(doc ?? comment, name) }))
}

function fieldsIn(text: string): Documented[] {
  const fields = text.matchAll(new RegExp(String.raw`(?:${DOC}\s*)?readonly (\w+)\??: `, 'g'))
  return [...fields].map(([, doc = '', name = '']) => ({ name, doc: parse(doc) }))
}

/** The fields of the interface in `({ … } & Rerun)`. */
function fieldsOfIntersected(source: string, rest: string): Documented[] {
  const [, name] = /^[^|]*\} & (\w+)\)/.exec(rest) ?? []
  return name
    ? fieldsIn(bodyAfter(source, new RegExp(String.raw`^(?:export )?interface ${name} \{`, 'm'), '\n}\n'))
    : []
}

function bodyAfter(source: string, start: RegExp, end: string | RegExp): string {
  const match = start.exec(source)
  if (!match) throw new Error(`The sources have no ${start.source}`)
  return source.slice(match.index + match[0].length).split(end)[0] ?? ''
}

function docstring(comment: string | undefined, of: string): Docstring {
  if (comment === undefined) throw new Error(`${of} has no docstring`)
  return parse(comment)
}

function parse(comment: string): Docstring {
  const plain = comment.replaceAll(/^ *\* ?/gm, '').trim()
  const [text = '', ...tags] = plain.split(/(?:^|\s)@(?=[a-z]+\s)/)
  return {
    text: text.trim(),
    tags: new Map(tags.map((tag) => [tag.split(/\s/)[0] ?? '', tag.replace(/^\S+\s+/, '').trim()])),
  }
}
