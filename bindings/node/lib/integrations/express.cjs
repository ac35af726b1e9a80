// Labels for Express, 4 and 5.
//
// The route is known when the router has found it: then it assigns `req.route`. Its path is that
// within its router; where that router is mounted is in `req.baseUrl`, with the values of the
// parameters, which `req.params` has by that time. So three properties that Express documents tell
// the template, in whichever order routers were made, and nothing of Express is replaced.
'use strict';

const { answer, isKnown, onAssignment, setRoute, template } = require('./_request.cjs');

/** A middleware that labels requests; to be used before every other. */
function middleware() {
  return function sondage(req, res, next) {
    // A mounted application may have one too.
    if (isKnown(req)) return next();
    watch(req);
    return answer(req, res, undefined, next);
  };
}

// Where a request has the mounts that it is in, outermost first, and whether a route was found.
const PLACE = Symbol('sondage');

function watch(req) {
  // What is around the router that has this middleware is left out: nobody can say any more what in
  // its path is a parameter's value.
  const mounts = [{ url: req.baseUrl ?? '', params: {}, template: '' }];
  req[PLACE] = { mounts, routed: false };
  watchBaseUrl(req);
  watchRoute(req);
}

const watchBaseUrl = onAssignment('baseUrl', (req, url) => {
  if (typeof url !== 'string') return;
  const { mounts, routed } = req[PLACE];
  while (mounts.length > 1 && !isWithin(url, mounts.at(-1).url)) mounts.pop();
  if (url.length <= mounts.at(-1).url.length) return;
  mounts.push(mount(mounts.at(-1), url, req.params ?? {}));
  // What is mounted may be a handler without routes. One that had a route keeps it until another
  // is found, for handlers of its errors.
  if (!routed) setRoute(req, `${mounts.at(-1).template}/*`);
});

const watchRoute = onAssignment('route', (req, route) => {
  if (route === undefined || route === null) return;
  const place = req[PLACE];
  place.routed = true;
  const path = template(route.path);
  const base = place.mounts.at(-1).template;
  setRoute(req, path === '/' && base ? base : base + path);
});

function isWithin(url, base) {
  return url.startsWith(base) && (url.length === base.length || url[base.length] === '/');
}

function mount(outer, url, params) {
  const part = named(url.slice(outer.url.length), params, outer.params);
  return { url, params, template: outer.template + known(part) };
}

/**
 * A part of a path with its parameters' names in place of their values. The values are looked for
 * from the right: what is like a value is more often to its left, as in `/users/:name`.
 */
function named(part, params, outerParams) {
  const values = Object.entries(params).reverse();
  let text = decoded(part);
  let end = text.length;
  for (const [name, param] of values) {
    const value = Array.isArray(param) ? param.join('/') : param;
    if (typeof value !== 'string' || value === '') continue;
    const at = lastOf(text.slice(0, end), value);
    if (at >= 0) {
      text = `${text.slice(0, at)}:${name}${text.slice(at + value.length)}`;
      end = at;
    } else if (outerParams[name] !== param) {
      // The program has changed it. A path must not be shown with a value in it.
      return `/:${Object.keys(params).join('/:')}`;
    }
  }
  return text;
}

/** Where `value` is last in `text`, as whole segments if it is anywhere. */
function lastOf(text, value) {
  for (let at = text.lastIndexOf(value); at >= 0; at = text.lastIndexOf(value, at - 1)) {
    const after = text[at + value.length];
    if (text[at - 1] === '/' && (after === undefined || after === '/')) return at;
    if (at === 0) break;
  }
  return text.lastIndexOf(value);
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

// Mounts match paths in any case, and by expressions: which spellings there are is the clients'
// choice, so that the first of each stands for all, and there are not too many.
const MAX_SPELLINGS = 500;
const spellings = new Map();

function known(part) {
  const key = part.toLowerCase();
  const spelling = spellings.get(key);
  if (spelling !== undefined) return spelling;
  if (spellings.size >= MAX_SPELLINGS) return '/[other]';
  spellings.set(key, part);
  return part;
}

module.exports = { middleware };
