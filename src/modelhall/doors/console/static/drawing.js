// A picture that somebody draws, or takes from a file. What is drawn is cut out and centred, as the pictures are that
// models learn from: where on the sheet it was drawn means nothing.

const STROKE = 22;
const SIDE = 64;
const MARGIN = 5;

export function drawing(canvas, file) {
  const sheet = canvas.getContext("2d", { willReadFrequently: true });
  let upload = null;
  let last = null;

  function clear() {
    sheet.fillStyle = "#000";
    sheet.fillRect(0, 0, canvas.width, canvas.height);
    upload = null;
    file.value = "";
  }

  function place(event) {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) * (canvas.width / box.width), (event.clientY - box.top) * (canvas.height / box.height)];
  }

  function draw(event) {
    if (last === null) return;
    const next = place(event);
    Object.assign(sheet, { strokeStyle: "#fff", lineWidth: STROKE, lineCap: "round", lineJoin: "round" });
    sheet.beginPath();
    sheet.moveTo(...last);
    sheet.lineTo(...next);
    sheet.stroke();
    last = next;
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (upload) clear();
    canvas.setPointerCapture(event.pointerId);
    last = place(event);
    draw(event);
  });
  canvas.addEventListener("pointermove", draw);
  for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => { last = null; });
  file.addEventListener("change", async () => {
    const [chosen] = file.files;
    if (!chosen) return;
    clear();
    upload = chosen;
    const picture = await createImageBitmap(chosen);
    const scale = Math.min(canvas.width / picture.width, canvas.height / picture.height);
    sheet.drawImage(picture, 0, 0, picture.width * scale, picture.height * scale);
  });
  clear();

  async function base64() {
    return encoded(upload ?? (await blobOf(cutOut(canvas, sheet))));
  }
  return { clear, base64 };
}

/** What was drawn, in the middle of a small square. */
function cutOut(canvas, sheet) {
  const { data, width, height } = sheet.getImageData(0, 0, canvas.width, canvas.height);
  let [left, top, right, bottom] = [width, height, -1, -1];
  for (let at = 0; at < data.length; at += 4) {
    if (data[at] < 40) continue;
    const x = (at / 4) % width;
    const y = Math.floor(at / 4 / width);
    [left, top, right, bottom] = [Math.min(left, x), Math.min(top, y), Math.max(right, x), Math.max(bottom, y)];
  }
  const small = new OffscreenCanvas(SIDE, SIDE);
  const paper = small.getContext("2d");
  paper.fillStyle = "#000";
  paper.fillRect(0, 0, SIDE, SIDE);
  if (right < 0) return small;
  const [wide, tall] = [right - left + 1, bottom - top + 1];
  const scale = (SIDE - 2 * MARGIN) / Math.max(wide, tall);
  paper.imageSmoothingQuality = "high";
  paper.drawImage(
    canvas, left, top, wide, tall,
    (SIDE - wide * scale) / 2, (SIDE - tall * scale) / 2, wide * scale, tall * scale,
  );
  return small;
}

const blobOf = (small) => small.convertToBlob({ type: "image/png" });

async function encoded(blob) {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}
