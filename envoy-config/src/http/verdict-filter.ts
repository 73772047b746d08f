import { create, toBinary } from '@bufbuild/protobuf';
import { typeUrlOf } from '@weir/xds-ts';
import { RBACPerRouteSchema, RBACSchema } from '@weir/xds-ts/envoy/extensions/filters/http/rbac/v3/rbac';
import { type Extension, extension, typedConfig } from '../typed-config.ts';
import { type Encoded, field, joined } from '../wire.ts';
import { actionLeaf, alwaysMatcher } from './matcher.ts';
import type { Memory } from './memory.ts';
import { perFilterConfig } from './per-filter-config.ts';
import { allowVerdict } from './route-action.ts';
import type { RuleSet } from './rule-set.ts';
import { verdictFilter } from './verdict-filter-name.ts';
import { verdictTree } from './verdict-tree.ts';

/** Rules without a policy that allows: everything is refused. */
const refuseAll = { rules: {} };

/** The filter of a listener. By itself it refuses everything; the routes bring what it allows. */
export function verdictFilterOf(): Extension {
  return extension(typedConfig(verdictFilter, RBACSchema, refuseAll));
}

/**
 * What the filter allows, as an entry of `typed_per_filter_config`: what one of the rules matches. The rest it
 * refuses.
 */
export function verdictConfig(rules: RuleSet, memory: Memory): Encoded {
  const tree = verdictTree(
    [...rules.plain, ...rules.acting],
    (rule) => actionLeaf(allowVerdict(rule, memory)),
    null,
    memory,
    memory.entries.verdict,
  );
  const rbac =
    tree === null
      ? joined(toBinary(RBACSchema, create(RBACSchema, refuseAll)))
      : field(RBACSchema.field.matcher.number, alwaysMatcher(tree));
  const perRoute = field(RBACPerRouteSchema.field.rbac.number, rbac);
  return perFilterConfig(verdictFilter, typeUrlOf(RBACPerRouteSchema), perRoute);
}
