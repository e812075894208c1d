import { registerHooks } from 'node:module'

/** Loaded before a service. Replaces its imports of Holdfast by the stock libraries. */
registerHooks({
  resolve(specifier, context, nextResolve) {
    const [, name] = /^@holdfast\/(\w+)$/.exec(specifier) ?? []
    const isService = context.parentURL?.includes('/examples/') && !context.parentURL.includes('/test/examples/')
    if (name && isService) return nextResolve(new URL(`./stock/${name}.ts`, import.meta.url).href, context)
    return nextResolve(specifier, context)
  },
})
