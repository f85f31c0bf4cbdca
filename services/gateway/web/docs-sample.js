// A curl command for an operation.

const BODIES = {
  "application/json": ({ example }) =>
    `-H 'Content-Type: application/json' -d '${JSON.stringify(example ?? {}).replaceAll("'", "'\\''")}'`,
  "multipart/form-data": ({ schema }) => (schema.properties?.audio_file ? "-F audio_file=@sample.wav" : "-F file=@sample.wav"),
};

/** The command on one line; `$TOKEN` and `$ID` are the reader's. */
export function sample({ method, path, parameters = [], requestBody, security }, origin) {
  const address = origin + path.replaceAll(/\{(\w+)\}/g, (_whole, name) => `$${name.toUpperCase()}`);
  const required = parameters.filter(({ in: where, required: needed }) => where === "query" && needed);
  const query = required.map(({ name }) => `${name}=...`).join("&");
  const [media, body] = Object.entries(requestBody?.content ?? {})[0] ?? [];
  return [
    "curl",
    path.endsWith("/events") || path === "/stream" ? "-N" : "",
    method === "get" || (method === "post" && body) ? "" : `-X ${method.toUpperCase()}`,
    `"${address}${query ? `?${query}` : ""}"`,
    security?.length === 0 ? "" : '-H "Authorization: Bearer $TOKEN"',
    BODIES[media]?.(body) ?? "",
  ]
    .filter(Boolean)
    .join(" ");
}
