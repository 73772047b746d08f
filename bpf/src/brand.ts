declare const brand: unique symbol;

/** A value of type `Base` that must not be swapped with other values of the same base type. */
export type Branded<Base, Name extends string> = Base & { readonly [brand]: Name };
