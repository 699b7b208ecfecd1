// What may stand at a place in a hall file, by the JSON Schema of its document's kind: fields, and words of a choice.

const MOST = 60;

/** Words for the place `at` in `text`, each with what is begun of it there. */
export function choicesAt(schemas, text, at) {
  const line = text.slice(text.lastIndexOf("\n", at - 1) + 1, at);
  const match = /^(\s*)(?:- )?(?:([A-Za-z_][\w.-]*):\s*)?([\w.-]*)$/.exec(line);
  if (!match) return [];
  const [, indent, field, begun] = match;
  const lines = documentAround(text, at);
  const kind = lines.map((one) => /^kind:\s*(\w+)/.exec(one)?.[1]).find(Boolean);
  if (field === "kind" && !indent) return words(Object.keys(schemas), begun, "");
  if (!kind) return field || indent ? [] : words(["kind"], begun, ": ");
  const schema = schemas[kind];
  if (!schema) return [];
  const path = pathTo(linesBefore(text, at), indent.length);
  const place = follow(schema, schema, path);
  if (!place) return [];
  return field ? words(values(schema, place.properties?.[field]), begun, "") : fields(place, begun, lines, indent);
}

function fields(place, begun, lines, indent) {
  const there = new Set(lines.map((one) => new RegExp(`^${indent}([\\w-]+):`).exec(one)?.[1]).filter(Boolean));
  return Object.entries(place.properties ?? {})
    .filter(([name]) => name.startsWith(begun) && name !== begun && !there.has(name))
    .map(([name, of]) => ({ word: name, about: (of.description ?? "").slice(0, 90), begun, ending: ": " }))
    .slice(0, MOST);
}

function words(known, begun, ending) {
  return known
    .filter((word) => word.startsWith(begun) && word !== begun)
    .map((word) => ({ word, about: "", begun, ending }))
    .slice(0, MOST);
}

/** The words a field may be, where they are few. */
function values(schema, field) {
  const branches = field ? [field, ...(field.anyOf ?? [])].map((one) => resolved(schema, one)) : [];
  return branches.flatMap((one) => one.enum ?? (one.type === "boolean" ? ["true", "false"] : [])).map(String);
}

function resolved(schema, place) {
  return place?.$ref ? schema.$defs[place.$ref.split("/").pop()] : place;
}

/** The part of a schema that a path of field names leads to. */
function follow(schema, place, path) {
  let found = place;
  for (const name of path) {
    const next = found?.properties?.[name];
    const branches = next ? [next, ...(next.anyOf ?? []), ...(next.allOf ?? [])].map((one) => resolved(schema, one)) : [];
    found = branches.find((one) => one?.properties) ?? null;
    if (!found) return null;
  }
  return found;
}

/** The fields that the lines before stand in, by their indentation. */
function pathTo(before, indent) {
  const path = [];
  let depth = indent;
  for (const line of before.reverse()) {
    const match = /^(\s*)(?:- )?([\w.-]+):/.exec(line);
    if (match && match[1].length < depth) {
      path.unshift(match[2]);
      depth = match[1].length;
    }
  }
  return path;
}

function documentAround(text, at) {
  const begin = text.lastIndexOf("\n---", at - 1);
  const end = text.indexOf("\n---", at);
  return text.slice(begin < 0 ? 0 : begin + 4, end < 0 ? undefined : end).split("\n");
}

function linesBefore(text, at) {
  const begin = text.lastIndexOf("\n---", at - 1);
  const until = text.lastIndexOf("\n", at - 1);
  return until < 0 ? [] : text.slice(begin < 0 ? 0 : begin + 4, until).split("\n");
}
