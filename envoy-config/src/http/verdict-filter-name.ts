/** Name of the RBAC filter that holds the verdict of the second side of a pair. */
export const verdictFilter = 'envoy.filters.http.rbac';
