/** Files that are dropped or pasted. */

import { byId } from "./dom.js";

const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");

/**
 * Watch the window.
 *
 * @param {{search: (files: File[]) => void, upload: (files: File[]) => void}} actions
 */
export function watchDrops({ search, upload }) {
  const overlay = byId("drop");
  const zones = { "drop-search": search, "drop-upload": upload };
  let depth = 0; // dragenter and dragleave come for each element

  const hide = () => {
    depth = 0;
    overlay.hidden = true;
  };
  const isBusy = () => byId("token").open;
  addEventListener("dragenter", (event) => {
    if (!hasFiles(event) || isBusy()) return;
    depth += 1;
    overlay.hidden = false;
  });
  addEventListener("dragleave", (event) => {
    if (!hasFiles(event)) return;
    depth -= 1;
    if (depth <= 0) hide();
  });
  addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    const zone = event.target.closest?.(".zone");
    event.dataTransfer.dropEffect = zone ? "copy" : "none";
    for (const id of Object.keys(zones)) byId(id).classList.toggle("over", byId(id) === zone);
  });
  addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault(); // the browser would open the file instead
    const act = zones[event.target.closest?.(".zone")?.id];
    hide();
    const files = [...event.dataTransfer.files];
    if (act && files.length) act(files);
  });
  addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])].filter((file) => file.type.startsWith("image/"));
    if (!files.length || isBusy()) return;
    event.preventDefault();
    search(files);
  });
}
