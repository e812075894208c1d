import { registerHooks } from 'node:module'

/** Loaded before a service: what it imports from us is what it would have imported without us. */
registerHooks({
  resolve(specifier, context, nextResolve) {
    const [, name] = /^@holdfast\/(\w+)$/.exec(specifier) ?? []
    const isService = context.parentURL?.includes('/examples/') && !context.parentURL.includes('/test/examples/')
    if (name && isService) return nextResolve(new URL(`./stock/${name}.ts`, import.meta.url).href, context)
    return nextResolve(specifier, context)
  },
})
