// Figures in words, the same on all views.

/** `340 ms`, `2.5 s`, `3 min 20 s`, `2 h 05 min`, `3 d 4 h`; empty when it is not known. */
export function duration(ms) {
  if (ms === undefined || ms === null) return "";
  if (ms < 999.5) return `${Math.max(0, ms).toFixed(0)} ms`;
  if (ms < 59950) return `${(ms / 1000).toFixed(1)} s`;
  const two = (number) => String(number).padStart(2, "0");
  if (ms < 3599500) {
    const seconds = Math.round(ms / 1000);
    return `${Math.floor(seconds / 60)} min ${two(seconds % 60)} s`;
  }
  if (ms < 86370000) {
    const minutes = Math.round(ms / 60000);
    return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`;
  }
  const hours = Math.round(ms / 3600000);
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** How long ago: `now`, `12 s`, `4 min`, `3 h`, `5 d`. */
export function age(at, now = Date.now()) {
  const seconds = Math.max(0, Math.floor((now - Date.parse(at)) / 1000));
  if (seconds < 2) return "now";
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} d`;
}

/** How long it is until then: `12 s`, `4 min`, `3 h`, `5 d`; `now` when it is past. */
export const ahead = (at, now = Date.now()) => age(new Date(now).toISOString(), Date.parse(at));

/** Dollars to the micro-dollar, without needless zeros: `$0.0123`; `$0` for nothing. */
export function money(usd) {
  if (!usd) return "$0";
  if (usd >= 100) return `$${usd.toFixed(2)}`;
  const text = usd.toFixed(6).replace(/0+$/, "");
  return `$${text}${"0".repeat(Math.max(0, 2 - text.split(".")[1].length))}`;
}

export const microusd = (amount) => money(amount / 1e6);

/** `1,204`, `35.1k`, `2.4M`. */
export function count(number) {
  if (number < 10000) return number.toLocaleString("en-GB");
  return number < 999950 ? `${(number / 1000).toFixed(1)}k` : `${(number / 1e6).toFixed(1)}M`;
}

/** `1 step`, `4 steps`. */
export const counted = (number, what) => `${count(number)} ${what}${number === 1 ? "" : "s"}`;

/** `512 B`, `1.2 kB`, `3.4 MB`. */
export function bytes(number) {
  if (number < 1000) return `${number} B`;
  return number < 1e6 ? `${(number / 1e3).toFixed(1)} kB` : `${(number / 1e6).toFixed(1)} MB`;
}

/** Date and time, as this machine writes them. */
export const moment = (at) => new Date(at).toLocaleString();

/** The time of day, with seconds. */
export const clock = (at) => new Date(at).toLocaleTimeString([], { hourCycle: "h23" });

/** All tokens of a usage, cached ones included. */
export const tokens = (usage) =>
  usage ? usage.input_tokens + usage.output_tokens + usage.cache_read_tokens + usage.cache_write_tokens : 0;

/** A text cut to so many characters. */
export const cut = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

/** `in_progress` as people say it. */
export const words = (name) => String(name).replaceAll("_", " ");
