// Where files come in: dropped anywhere on the page, or chosen.

/** Calls `onFiles` with the files dropped on the page or chosen in `input`; `zone` shows where. */
export function acceptFiles(zone, input, onFiles) {
  let depth = 0; // dragenter and dragleave also fire for every child

  const show = (over) => zone.classList.toggle("over", over);
  const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");

  document.addEventListener("dragenter", (event) => {
    if (!carriesFiles(event)) return;
    depth += 1;
    show(true);
  });
  document.addEventListener("dragleave", (event) => {
    if (!carriesFiles(event)) return;
    depth -= 1;
    if (!depth) show(false);
  });
  document.addEventListener("dragover", (event) => carriesFiles(event) && event.preventDefault());
  document.addEventListener("drop", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    depth = 0;
    show(false);
    if (event.dataTransfer.files.length) onFiles(event.dataTransfer.files);
  });
  const take = () => {
    if (input.files.length) onFiles([...input.files]);
    input.value = ""; // the same file may be chosen again
  };
  input.addEventListener("change", take);
  take(); // a quick hand chooses before this script has come
}
