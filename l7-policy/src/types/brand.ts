declare const brand: unique symbol;

/** A value that only its own factory makes, so that two kinds of number or text are not swapped. */
export type Brand<Base, Name extends string> = Base & { readonly [brand]: Name };
