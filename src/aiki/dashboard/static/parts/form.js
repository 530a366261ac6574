/*
 * A form from a JSON Schema. The rule: what the form cannot draw is written as JSON, so that nothing is out of reach; whether
 * a value fits is judged by the server, whose words are shown.
 */

import { html, useMemo, useState } from "../lib/html.js";

const DEPTH_MAX = 4;

/**
 * A form for a value, with a choice of what it is for where there are `choices`.
 *
 * @param schemaOf the schema for a choice, undefined for any value
 * @param value to begin with
 * @param act is given the choice and the value; what it returns, a text or more, says why not
 */
export function SchemaForm({ choices = null, chosen = "", choiceLabel = "", schemaOf, value, yes, note, act, onCancel, children }) {
  const [name, setName] = useState(chosen);
  const schema = useMemo(() => schemaOf(name), [name]);
  const [given, setGiven] = useState(value !== undefined ? value : sample(schema, schema));
  const [isJson, setJson] = useState(!isDrawable(schema, schema));
  const [text, setText] = useState(JSON.stringify(given ?? null, null, 2));
  const [problem, setProblem] = useState("");
  const [isBusy, setBusy] = useState(false);
  const pick = (picked) => {
    const next = schemaOf(picked);
    const made = sample(next, next);
    setName(picked);
    setGiven(made);
    setText(JSON.stringify(made ?? null, null, 2));
    setJson(!isDrawable(next, next));
  };
  const turn = () => {
    if (!isJson) setText(JSON.stringify(given, null, 2));
    else {
      try {
        setGiven(JSON.parse(text));
      } catch (error) {
        return setProblem(`This is no JSON yet: ${error.message}`);
      }
    }
    setProblem("");
    setJson(!isJson);
  };
  const submit = async (event) => {
    event.preventDefault();
    let made = given;
    if (isJson) {
      try {
        made = JSON.parse(text);
      } catch (error) {
        return setProblem(`This is no JSON: ${error.message}`);
      }
    }
    setProblem("");
    setBusy(true);
    const refused = await act(name, made);
    if (refused && refused !== true) setProblem(refused);
    setBusy(false);
  };
  return html`<form class="schema-form" onSubmit=${submit}>
    ${note && html`<p class="none">${note}</p>`}${children}
    ${choices && (choices.length ? html`<label>${choiceLabel}<select value=${name} onChange=${(event) => pick(event.target.value)}>${choices.map((one) => html`<option key=${one} value=${one}>${one}</option>`)}</select></label>`
      : html`<label>${choiceLabel}<input required value=${name} onInput=${(event) => setName(event.target.value)} /></label>`)}
    ${isJson ? html`<label>Value, as JSON<textarea rows=${Math.min(18, Math.max(4, text.split("\n").length + 1))} class="code" spellcheck=${false} value=${text} onInput=${(event) => setText(event.target.value)}></textarea></label>`
      : html`<${Field} key=${name} schema=${schema} root=${schema} value=${given} onChange=${setGiven} depth=${0} />`}
    ${problem && html`<p class="form-problem" role="alert">${problem}</p>`}
    <footer>${isDrawable(schema, schema) && html`<button type="button" class="link form-turn" onClick=${turn}>${isJson ? "Fill in a form" : "Write JSON"}</button>`}
      <button type="button" class="button" onClick=${onCancel}>Not now</button><button class="button primary" disabled=${isBusy}>${yes}</button></footer>
  </form>`;
}

function resolved(schema, root) {
  const name = schema?.$ref?.match(/^#\/(?:\$defs|definitions|components\/schemas)\/(.+)$/)?.[1];
  const found = name && (root.$defs ?? root.definitions ?? root.components?.schemas)?.[decodeURIComponent(name.replaceAll("~1", "/").replaceAll("~0", "~"))];
  return found ? { ...found, ...(schema.description ? { description: schema.description } : {}) } : schema;
}

/** Return a schema without its `null`, and whether it had one. */
function withoutNull(schema, root) {
  const branches = schema?.anyOf ?? schema?.oneOf;
  if (branches?.length === 2 && branches.some((one) => one.type === "null")) {
    const rest = branches.find((one) => one.type !== "null");
    return [{ ...resolved(rest, root), title: schema.title, description: schema.description }, true];
  }
  if (Array.isArray(schema?.type) && schema.type.length === 2 && schema.type.includes("null")) return [{ ...schema, type: schema.type.find((one) => one !== "null") }, true];
  return [schema, false];
}

function isDrawable(schema, root, depth = 0) {
  const [plain] = withoutNull(resolved(schema, root), root);
  if (!plain || depth > DEPTH_MAX) return false;
  if (plain.enum || ["string", "integer", "number", "boolean", "null"].includes(plain.type)) return true;
  if (plain.type === "object" && plain.properties) return Object.values(plain.properties).every((one) => isDrawable(one, root, depth + 1) || depth < DEPTH_MAX);
  return depth > 0;
}

/** Return a value to begin with: defaults, and for what is required the least that fits. */
export function sample(schema, root, depth = 0) {
  const whole = resolved(schema, root);
  if (!whole || depth > 2 * DEPTH_MAX) return null;
  if (whole.default !== undefined) return whole.default;
  const [plain, isOptional] = withoutNull(whole, root);
  if (isOptional) return null;
  if (plain.enum) return plain.enum[0];
  switch (plain.type) {
    case "string": return "";
    case "integer":
    case "number": return undefined; // none is right by chance
    case "boolean": return false;
    case "array": return [];
    case "object": return Object.fromEntries(Object.entries(plain.properties ?? {}).filter(([name]) => plain.required?.includes(name)).map(([name, one]) => [name, sample(one, root, depth + 1)]));
    default: return null;
  }
}

function Field({ name, schema, root, value, onChange, depth, isRequired = true }) {
  const whole = resolved(schema, root);
  const [plain, isNullable] = withoutNull(whole, root);
  const label = html`${name ?? "Value"}${plain?.description && html` <span class="optional">${plain.description}</span>`}${!isRequired && html` <span class="optional">optional</span>`}`;
  if (plain?.type === "object" && plain.properties && depth <= DEPTH_MAX) {
    if ((value === null || value === undefined) && depth > 0) {
      return html`<div class="field"><span class="field-name">${label}</span><button type="button" class="button small" onClick=${() => onChange(sample(plain, root))}>Fill in</button></div>`;
    }
    const change = (field) => (changed) => {
      const next = { ...(value ?? {}) };
      if (changed === undefined) delete next[field];
      else next[field] = changed;
      onChange(next);
    };
    return html`<fieldset class=${depth ? "" : "bare-fields"}>${name && html`<legend>${label}</legend>`}
      ${Object.entries(plain.properties).map(([field, one]) => html`<${Field} key=${field} name=${field} schema=${one} root=${root} value=${value?.[field]} onChange=${change(field)} depth=${depth + 1}
        isRequired=${Boolean(plain.required?.includes(field))} />`)}</fieldset>`;
  }
  return html`<${Leaf} ...${{ label, name, plain, isNullable, isRequired, value, onChange }} />`;
}

function Leaf({ label, plain, isNullable, isRequired, value, onChange }) {
  const empty = isNullable ? null : undefined;
  if (plain?.enum) {
    return html`<label>${label}<select value=${JSON.stringify(value)} onChange=${(event) => onChange(event.target.value === "" ? empty : JSON.parse(event.target.value))}>
      ${(isNullable || !isRequired) && html`<option value="">–</option>`}${plain.enum.map((one) => html`<option key=${one} value=${JSON.stringify(one)}>${String(one)}</option>`)}</select></label>`;
  }
  switch (plain?.type) {
    case "boolean":
      return html`<label class="field-check"><input type="checkbox" checked=${Boolean(value)} onChange=${(event) => onChange(event.target.checked)} />${label}</label>`;
    case "integer":
    case "number":
      return html`<label>${label}<input type="number" step=${plain.type === "integer" ? 1 : "any"} min=${plain.minimum} max=${plain.maximum} required=${isRequired && !isNullable} value=${value ?? ""}
        onInput=${(event) => onChange(event.target.value === "" ? empty : Number(event.target.value))} /></label>`;
    case "string":
      return html`<label>${label}<input value=${value ?? ""} minlength=${plain.minLength} maxlength=${plain.maxLength} onInput=${(event) => onChange(event.target.value === "" && (isNullable || !isRequired) ? empty : event.target.value)} /></label>`;
    default:
      return html`<${Written} ...${{ label, value, onChange }} />`;
  }
}

function Written({ label, value, onChange }) {
  const [text, setText] = useState(value === undefined ? "" : JSON.stringify(value));
  const take = (event) => {
    setText(event.target.value);
    try {
      onChange(event.target.value === "" ? undefined : JSON.parse(event.target.value));
      event.target.setCustomValidity("");
    } catch (error) {
      event.target.setCustomValidity(`This is no JSON yet: ${error.message}`);
    }
  };
  return html`<label>${label} <span class="optional">JSON</span><textarea rows="2" class="code" spellcheck=${false} value=${text} onInput=${take}></textarea></label>`;
}
