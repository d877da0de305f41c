// The theme's pages hold small expressions for Alpine (`x-on:click="open = !open"`), which Alpine runs by eval. The
// site's Content-Security-Policy forbids that: here they are parsed and carried out instead, and reach what is named
// here only.
"use strict";

(() => {
  /** What an expression reaches besides its component's own data. */
  const GLOBALS = {
    get localStorage() {
      return window.localStorage;
    },
    get window() {
      const { pathname, search, hash } = window.location;
      return { location: { pathname, search, hash } };
    },
    Date,
    Math,
    JSON,
  };
  const FUNCTIONS = new Set(["theme", "searchForm", "searchDropdown", "searchCommand", "getCurrentTab", "sortRecords"]);
  /** Ways from any value to code, and from an element to the window. */
  const FORBIDDEN = new Set([
    "constructor",
    "prototype",
    "__proto__",
    "ownerDocument",
    "defaultView",
    "view",
    "contentWindow",
    "contentDocument",
    "innerHTML",
    "outerHTML",
    "insertAdjacentHTML",
    "srcdoc",
  ]);

  // --- from text to tokens

  // One group for each kind: a number, a name, a string, an operator.
  const TOKEN = new RegExp(
    [
      String.raw`\s*(?:(\d+(?:\.\d+)?)`,
      String.raw`([A-Za-z_$][\w$]*)`,
      String.raw`('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")`,
      String.raw`(=>|===|!==|==|!=|<=|>=|&&|\|\||\?\?|\?\.|\+\+|--|\+=|-=|[-+*/%<>=!?:;,.(){}[\]]))`,
    ].join("|"),
    "y",
  );

  function tokens(text) {
    const found = [];
    TOKEN.lastIndex = 0;
    let end = 0;
    while (text.slice(end).trim()) {
      const match = TOKEN.exec(text);
      if (!match) throw new SyntaxError(`not understood: ${text.slice(end)}`);
      end = TOKEN.lastIndex;
      const [, number, name, string, sign] = match;
      if (number !== undefined) found.push({ kind: "value", value: Number(number) });
      else if (name !== undefined) found.push({ kind: "name", text: name });
      else if (string !== undefined) found.push({ kind: "value", value: string.slice(1, -1).replace(/\\(.)/g, "$1") });
      else found.push({ kind: "sign", text: sign });
    }
    return found;
  }

  // --- from tokens to functions of a scope

  const BINARY = [
    { "??": (a, b) => a() ?? b() },
    { "||": (a, b) => a() || b() },
    { "&&": (a, b) => a() && b() },
    {
      "===": (a, b) => a() === b(),
      "!==": (a, b) => a() !== b(),
      // Carried out as it is written.
      // oxlint-disable-next-line eqeqeq
      "==": (a, b) => a() == b(),
      // oxlint-disable-next-line eqeqeq
      "!=": (a, b) => a() != b(),
    },
    { "<": (a, b) => a() < b(), ">": (a, b) => a() > b(), "<=": (a, b) => a() <= b(), ">=": (a, b) => a() >= b() },
    { "+": (a, b) => a() + b(), "-": (a, b) => a() - b() },
    { "*": (a, b) => a() * b(), "/": (a, b) => a() / b(), "%": (a, b) => a() % b() },
  ];
  const WORDS = { true: true, false: false, null: null, undefined };

  class Parser {
    constructor(text) {
      this.tokens = tokens(text);
      this.at = 0;
    }

    is(text, ahead = 0) {
      const token = this.tokens[this.at + ahead];
      return Boolean(token) && token.kind !== "value" && token.text === text;
    }

    take(text) {
      if (!this.is(text)) return false;
      this.at += 1;
      return true;
    }

    expect(text) {
      if (!this.take(text)) throw new SyntaxError(`${text} is missing`);
    }

    name() {
      const token = this.tokens[this.at++];
      if (!token || token.kind !== "name") throw new SyntaxError("a name is missing");
      return token.text;
    }

    /** Statements up to the end, or to the brace that ends a block. */
    statements() {
      const all = [];
      while (this.at < this.tokens.length && !this.is("}")) {
        if (!this.take(";")) all.push(this.statement());
      }
      return (scope) => all.reduce((_, run) => run(scope), undefined);
    }

    statement() {
      if (!this.take("if")) return this.expression();
      this.expect("(");
      const condition = this.expression();
      this.expect(")");
      const then = this.block();
      while (this.is(";") && this.is("else", 1)) this.at += 1;
      const otherwise = this.take("else") ? this.block() : () => undefined;
      return (scope) => (condition(scope) ? then(scope) : otherwise(scope));
    }

    block() {
      if (!this.take("{")) return this.statement();
      const inner = this.statements();
      this.expect("}");
      return inner;
    }

    expression() {
      const parameters = this.parameters();
      if (parameters) {
        const body = this.expression();
        return (scope) =>
          (...given) =>
            body(scope.with(Object.fromEntries(parameters.map((name, i) => [name, given[i]]))));
      }
      const target = this.choice();
      for (const [sign, change] of [
        ["=", (_, b) => b],
        ["+=", (a, b) => a + b],
        ["-=", (a, b) => a - b],
      ]) {
        if (this.take(sign)) {
          const value = this.expression();
          return (scope) => settable(target).set(scope, (old) => change(old, value(scope)), sign !== "=");
        }
      }
      return target;
    }

    /** The names before an arrow, or null when no function begins here. */
    parameters() {
      const start = this.at;
      const names = [];
      if (this.tokens[this.at]?.kind === "name" && this.is("=>", 1)) names.push(this.name());
      else if (this.take("(")) {
        while (this.tokens[this.at]?.kind === "name") {
          names.push(this.name());
          this.take(",");
        }
        if (!this.take(")")) this.at = start;
      }
      if (this.at !== start && this.take("=>")) return names;
      this.at = start;
      return null;
    }

    choice() {
      const condition = this.binary(0);
      if (!this.take("?")) return condition;
      const yes = this.expression();
      this.expect(":");
      const no = this.expression();
      return (scope) => (condition(scope) ? yes(scope) : no(scope));
    }

    binary(level) {
      if (level === BINARY.length) return this.unary();
      let left = this.binary(level + 1);
      for (;;) {
        const sign = Object.keys(BINARY[level]).find((one) => this.take(one));
        if (!sign) return left;
        const [first, second, run] = [left, this.binary(level + 1), BINARY[level][sign]];
        left = (scope) =>
          run(
            () => first(scope),
            () => second(scope),
          );
      }
    }

    unary() {
      const run = [
        ["!", (a) => !a],
        ["-", (a) => -a],
        ["+", (a) => +a],
        ["typeof", (a) => typeof a],
      ].find(([sign]) => this.take(sign))?.[1];
      if (run) {
        const operand = this.unary();
        return (scope) => run(operand(scope));
      }
      const target = this.access();
      for (const [sign, step] of [
        ["++", 1],
        ["--", -1],
      ]) {
        if (this.take(sign)) return (scope) => settable(target).set(scope, (old) => old + step, true) - step;
      }
      return target;
    }

    access() {
      let value = this.primary();
      for (;;) {
        if (this.take("?.")) value = member(value, constant(this.name()), true);
        else if (this.take(".")) value = member(value, constant(this.name()));
        else if (this.take("[")) {
          value = member(value, this.expression());
          this.expect("]");
        } else if (this.take("(")) value = call(value, this.list(")"));
        else return value;
      }
    }

    list(end) {
      const items = [];
      while (!this.take(end)) {
        items.push(this.expression());
        if (!this.is(end)) this.expect(",");
      }
      return items;
    }

    primary() {
      if (this.take("(")) {
        const inner = this.expression();
        this.expect(")");
        return inner;
      }
      if (this.take("[")) {
        const items = this.list("]");
        return (scope) => items.map((item) => item(scope));
      }
      if (this.take("{")) return this.object();
      if (this.take("new")) return this.made();
      const token = this.tokens[this.at];
      if (token?.kind === "value") {
        this.at += 1;
        return constant(token.value);
      }
      const name = this.name();
      return Object.hasOwn(WORDS, name) ? constant(WORDS[name]) : variable(name);
    }

    object() {
      const fields = [];
      while (!this.take("}")) {
        const token = this.tokens[this.at++];
        const key = token?.kind === "value" ? String(token.value) : token?.text;
        fields.push([key, this.take(":") ? this.expression() : variable(key)]);
        if (!this.is("}")) this.expect(",");
      }
      return (scope) => Object.fromEntries(fields.map(([key, value]) => [key, value(scope)]));
    }

    made() {
      const name = this.name();
      this.expect("(");
      const given = this.list(")");
      if (name !== "Date") throw new SyntaxError(`new ${name} is not for expressions`);
      return (scope) => new Date(...given.map((one) => one(scope)));
    }
  }

  const constant = (value) => () => value;

  function settable(target) {
    if (!target.set) throw new SyntaxError("nothing can be assigned there");
    return target;
  }

  function variable(name) {
    const run = (scope) => scope.get(name);
    run.set = (scope, change, reads) => scope.set(name, change(reads ? scope.get(name) : undefined));
    run.invoke = (scope, values) => scope.get(name).apply(scope.owner(name), values);
    return run;
  }

  function member(of, key, optional = false) {
    const allowed = (scope) => {
      const name = key(scope);
      if (FORBIDDEN.has(String(name))) throw new TypeError(`${name} is not for expressions`);
      return name;
    };
    const run = (scope) => {
      const owner = of(scope);
      return optional && (owner === undefined || owner === null) ? undefined : owner[allowed(scope)];
    };
    run.set = (scope, change, reads) => {
      const [owner, name] = [of(scope), allowed(scope)];
      const value = change(reads ? owner[name] : undefined);
      owner[name] = value;
      return value;
    };
    run.invoke = (scope, values) => of(scope)[allowed(scope)](...values);
    return run;
  }

  function call(target, given) {
    return (scope) => {
      const values = given.map((one) => one(scope));
      return target.invoke ? target.invoke(scope, values) : target(scope)(...values);
    };
  }

  // --- what names mean

  class Scope {
    constructor(data, own) {
      this.data = data;
      this.own = own;
    }

    with(more) {
      return new Scope(this.data, { ...this.own, ...more });
    }

    get(name) {
      if (Object.hasOwn(this.own, name)) return this.own[name];
      if (name in this.data) return this.data[name];
      if (Object.hasOwn(GLOBALS, name)) return GLOBALS[name];
      // Anything else is nothing: the theme asks for names of components that not every page has.
      return FUNCTIONS.has(name) ? window[name] : undefined;
    }

    set(name, value) {
      if (Object.hasOwn(this.own, name)) this.own[name] = value;
      else this.data[name] = value;
      return value;
    }

    owner(name) {
      return !Object.hasOwn(this.own, name) && name in this.data ? this.data : undefined;
    }
  }

  const parsed = new Map();

  function parse(text) {
    if (!parsed.has(text)) {
      const parser = new Parser(text);
      const run = parser.statements();
      if (parser.at < parser.tokens.length) throw new SyntaxError("something is left over");
      parsed.set(text, run);
    }
    return parsed.get(text);
  }

  /** What Alpine offers to every expression, of this element. Its other `$names` are in the data of each component. */
  function ofElement(element) {
    return {
      $el: element,
      $dispatch: (name, detail = {}) =>
        element.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true, cancelable: true })),
    };
  }

  /** Alpine's evaluator: takes an element and an expression, returns what runs it and hands on the result. */
  function evaluator(element, expression) {
    const stack = [ofElement(element), ...Alpine.closestDataStack(element)];
    return (receive = () => {}, { scope = {}, params = [] } = {}) => {
      const data = Alpine.mergeProxies([scope, ...stack]);
      try {
        const result = typeof expression === "function" ? expression : parse(expression)(new Scope(data, {}));
        hand(result, data, params, receive);
      } catch (error) {
        // as Alpine does: told on the console, and the rest of the page goes on
        error.message = `${error.message} (in "${expression}")`;
        setTimeout(() => {
          throw error;
        }, 0);
      }
    };
  }

  function hand(result, data, params, receive) {
    const value = typeof result === "function" ? result.apply(data, params) : result;
    if (value instanceof Promise) value.then(receive);
    else receive(value);
  }

  document.addEventListener("alpine:init", () => {
    Alpine.setEvaluator(evaluator);
    // Given as text, a style would be an attribute, which the policy forbids; given by name it is not.
    document.getElementById("changelist-actions")?.setAttribute("x-bind:style", "{ width: changeListWidth + 'px' }");
  });
})();
