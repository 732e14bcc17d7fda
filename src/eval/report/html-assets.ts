/** The page's style; light or dark by the reader's setting. */
export const STYLE = `
:root { color-scheme: light dark; --ink: #1b1f24; --dim: #5d6773; --line: #d5dae0; --ground: #ffffff; --card: #f6f7f9; --right: #11682f; --wrong: #a4262c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ed; --dim: #9aa5b1; --line: #3a424c; --ground: #14171b; --card: #1d2228; --right: #6fce8d; --wrong: #f28b82; } }
body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.45 system-ui, sans-serif; }
main { max-width: 1240px; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.6rem; margin: 0 0 .5rem; }
h2 { font-size: 1.2rem; margin: 2rem 0 .6rem; }
h3 { font-size: 1.05rem; margin: 0 0 .3rem; white-space: pre-line; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .8rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:first-child { text-align: left; }
.note, .dim { color: var(--dim); font-size: .87rem; margin: .4rem 0; }
.chart svg { max-width: 100%; height: auto; margin-top: 1rem; }
.filter label { margin-right: 1rem; }
article { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: .9rem 1rem; margin: 1rem 0; }
.truth { margin: 0 0 .6rem; white-space: pre-line; }
.looks { display: flex; flex-wrap: wrap; gap: 1rem; }
figure { margin: 0; flex: 0 0 auto; max-width: 100%; }
figcaption { display: flex; gap: .5rem; align-items: baseline; }
.name { font-weight: 600; }
.mark { font-size: .85rem; font-weight: 600; }
.right { color: var(--right); }
.wrong { color: var(--wrong); }
.said { margin: .15rem 0 .35rem; max-width: 24rem; overflow-wrap: anywhere; }
.images { display: flex; flex-wrap: wrap; gap: .4rem; align-items: flex-start; }
.images img { max-width: 200px; max-height: 240px; border: 1px solid var(--line); display: block; }
.images img.crop { max-width: 130px; max-height: 160px; }
`;

/** Shows the items of the chosen method and outcome. */
export const SCRIPT = `
(function () {
  var method = document.getElementById("method"), outcome = document.getElementById("outcome"), count = document.getElementById("count");
  if (!method) return;
  function has(list, name) { return name === "" ? list !== "" : list.split(" ").indexOf(name) >= 0; }
  function update() {
    var shown = 0;
    document.querySelectorAll("article").forEach(function (card) {
      var won = has(card.dataset.won, method.value), lost = has(card.dataset.lost, method.value);
      var visible = outcome.value === "won" ? won : outcome.value === "lost" ? lost : won || lost;
      card.hidden = !visible;
      shown += visible ? 1 : 0;
    });
    count.textContent = shown + " shown";
  }
  method.addEventListener("change", update);
  outcome.addEventListener("change", update);
  update();
})();
`;
