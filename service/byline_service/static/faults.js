// The fields of the Ask page that an error is about.

// An error of the page itself, at a field.
export function faultAt(field, text) {
  return Object.assign(new Error(text), { parts: [{ field, detail: text }] });
}

// The parts of an error. A query that its Task refuses is named by its field in the message.
export function faultsOf(error) {
  if (error.parts?.length) return error.parts;
  const named = /valid query: (\w+)/.exec(error.message);
  return named ? [{ pointer: `/query/${named[1]}`, detail: error.message }] : [];
}

// Finds the field of a part: one of the query's controls, or one of the options, whose ids are their names.
export function fieldFinder(controls, options) {
  const named = Object.fromEntries(options.map((each) => [each.id === "ids" ? "id" : each.id, each]));
  return ({ field, pointer = "" }) => {
    if (field) return field;
    const [first, second] = pointer.replace(/^#/, "").split("/").slice(1);
    if (first === "query") return controls[second] ?? null;
    return named[first === "filter" ? second : first] ?? null;
  };
}
