import manifest from '../package.json' with { type: 'json' };

/** Version of Weir, from the manifest. */
export const version: string = manifest.version;
