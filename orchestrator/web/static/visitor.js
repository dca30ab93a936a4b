// Who uses the page: what `GET /v1/me` says. The API judges; this only spares buttons that it would refuse.

let me = null;

export const setVisitor = (found) => { me = found; };

/** `{ tenant, operator, key, name, scopes, limits, keyless }`. */
export const visitor = () => me;

/** Whether the key has a scope: submit, read, approve or admin, which includes the others. */
export const may = (scope) => Boolean(me && (me.scopes.includes(scope) || me.scopes.includes("admin")));
