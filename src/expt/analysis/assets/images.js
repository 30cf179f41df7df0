// Images: a slider for the step of a whole row, and a click that enlarges one, with its own slider.
const viewer = document.getElementById("viewer");
const [viewerText, viewerImage] = [viewer.querySelector("p"), viewer.querySelector("img")];
const viewerSlider = viewer.querySelector("input"), viewerOutput = viewer.querySelector("output");
let viewed = null;

// The last step up to the given one, else the first.
function stepAt(steps, step) {
  return steps.filter((one) => one <= step).at(-1) ?? steps[0];
}

class Picture {
  constructor(figure, sources) {
    this.image = figure.querySelector("img");
    this.at = figure.querySelector(".at");
    this.caption = this.at.previousSibling.textContent;
    this.steps = Object.keys(sources).map(Number).sort((one, other) => one - other);
    this.sources = sources;
    // The page itself holds what is shown at first.
    if (this.image) this.sources[this.at.dataset.step] = this.image.src;
  }

  show(step) {
    const shown = stepAt(this.steps, step);
    this.at.dataset.step = shown;
    this.at.textContent = shown === step ? "" : `, step ${shown}`;
    if (this.image) this.image.src = this.sources[shown];
  }

  // In the viewer; `step` is that of the viewer alone.
  view(step) {
    const shown = stepAt(this.steps, step);
    viewerText.textContent = `${this.title}: ${this.caption}`;
    viewerSlider.max = this.steps.length - 1;
    viewerSlider.value = this.steps.indexOf(shown);
    viewerSlider.disabled = this.steps.length < 2;
    viewerOutput.value = shown;
    viewerImage.src = this.sources[shown];
    viewerImage.alt = viewerText.textContent;
    viewed = this;
  }
}

for (const section of document.querySelectorAll("section.images")) {
  const { steps, runs } = data.images[section.dataset.row];
  const pictures = [...section.querySelectorAll("figure")].map((figure, i) => new Picture(figure, runs[i]));
  const readable = pictures.filter((picture) => picture.image);
  readable.forEach((picture, i) => {
    picture.title = section.querySelector("h2").textContent;
    picture.others = readable;
    picture.place = i;
    picture.image.parentElement.addEventListener("click", () => {
      picture.view(Number(picture.at.dataset.step));
      viewer.showModal();
    });
  });
  const slider = section.querySelector(".step");
  slider?.addEventListener("input", () => {
    slider.nextElementSibling.value = steps[slider.value];
    pictures.forEach((picture) => picture.show(steps[slider.value]));
  });
}
viewerSlider.addEventListener("input", () => viewed.view(viewed.steps[viewerSlider.value]));
viewer.querySelectorAll("[data-move]").forEach((button) => button.addEventListener("click", () => {
  const { others, place } = viewed;
  others[(place + others.length + Number(button.dataset.move)) % others.length].view(Number(viewerOutput.value));
}));
viewer.addEventListener("click", (event) => {
  if (event.target === viewer) viewer.close();
});
