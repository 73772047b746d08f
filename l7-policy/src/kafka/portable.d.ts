/**
 * Types of AssemblyScript, as TypeScript sees them. Files that are compiled for Envoy and run by Node alike use
 * them, and keep to what means the same in both: no closures, no exceptions, no strings in hot paths, no 64-bit
 * numbers, additions that may overflow end in `| 0`, and elements of arrays are read with `as i32`.
 */
type i32 = number;
type u8 = number;
