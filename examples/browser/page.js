// The page: pictures go to WebAssembly as pixels, drawings come back, everything else is done there.

import init, { Device, Lesson, Network, colourOf } from './tagseg_browser.js';

/** Larger pictures are made this long and wide at most: the network learned from photographs of this size. */
const LONGEST_SIDE = 320;
const SMALLEST_SIDE = 16;
const MODEL = 'animals.safetensors';
const SAMPLES = { 'chelsea.jpg': 'a cat', 'astronaut.jpg': 'a person' };
const STEPS = 400;
/** Steps between two looks at the watched pictures. */
const LOOK_EVERY = 10;

const element = (id) => document.getElementById(id);
const make = (tag, properties = {}, children = []) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
};
const one = (count, word) => `${count} ${word}${count === 1 ? '' : 's'}`;

let device, network;

/** Tells what went wrong, in a place that a screen reader reads out. */
function fail(error) {
  const defect = error instanceof WebAssembly.RuntimeError;
  element('alert').textContent =
    defect ? `Something broke here (${error.message}). Please reload the page.` : error.message;
  element('alert').hidden = false;
}

/** The bytes of a file of the page. */
async function fetched(name) {
  const answer = await fetch(name);
  if (!answer.ok) throw new Error(`${name} could not be loaded: ${answer.statusText}.`);
  return answer.arrayBuffer();
}

/** One task at a time uses the device; the others wait for their turn. */
let last = Promise.resolve();
function inTurn(task) {
  const turn = last.then(task);
  last = turn.catch(() => {});
  return turn;
}

/** Lets the browser draw and listen. */
const breathe = () => new Promise((go) => setTimeout(go));

// Pictures

function canvasOf(picture, label) {
  const canvas = make('canvas', { width: picture.width, height: picture.height });
  canvas.setAttribute('role', 'img');
  canvas.setAttribute('aria-label', label);
  canvas.getContext('2d').putImageData(new ImageData(picture.rgba, picture.width, picture.height), 0, 0);
  return canvas;
}

function figures(pictures, of) {
  return pictures.map((picture) => {
    const caption = make('figcaption', { textContent: picture.name, ariaHidden: true });
    return make('figure', {}, [canvasOf(picture, `${picture.name} of ${of}`), caption]);
  });
}

/** The pixels of a file, made smaller where it is large. */
async function pixelsOf(file) {
  const bitmap = await createImageBitmap(file).catch(() => {
    throw new Error(`${file.name} is not a picture that this browser can read; choose a JPEG, PNG or WebP file.`);
  });
  const { width, height } = bitmap;
  if (Math.min(width, height) < SMALLEST_SIDE) {
    bitmap.close();
    const [own, least] = [`${width} × ${height}`, `${SMALLEST_SIDE} × ${SMALLEST_SIDE}`];
    throw new Error(`${file.name} is only ${own} pixels; choose one of ${least} or more.`);
  }
  const scale = Math.min(1, LONGEST_SIDE / Math.max(width, height));
  const [columns, rows] = [width, height].map((side) => Math.max(SMALLEST_SIDE, Math.round(side * scale)));
  const context = make('canvas', { width: columns, height: rows }).getContext('2d', { willReadFrequently: true });
  context.imageSmoothingQuality = 'high';
  context.drawImage(bitmap, 0, 0, columns, rows);
  bitmap.close();
  const note = scale < 1 ? `, scaled from ${width} × ${height} to ${columns} × ${rows} pixels,` : '';
  return { name: file.name, note, width: columns, rgba: context.getImageData(0, 0, columns, rows).data };
}

// Looking at a picture

let shown;

/** Shows a file; `sample` is its button, if it is one of the page's photographs. */
async function show(file, sample) {
  element('alert').hidden = true;
  for (const button of element('samples').children) button.ariaPressed = button === sample;
  const mine = (shown = {});
  try {
    const picture = await pixelsOf(file);
    element('look-status').textContent = `Looking at ${picture.name} …`;
    await breathe();
    const alone = await inTurn(() => network.look(picture.width, picture.rgba, network.classes.map(() => 0)));
    if (shown !== mine) return;
    Object.assign(mine, { picture, tags: Array.from(alone.logits, (logit) => Number(logit > 0)) });
    await draw(mine, `In ${picture.name}${picture.note} it sees`);
  } catch (error) {
    element('look-status').textContent = '';
    fail(error);
  }
}

/** Looks at the shown picture with its tags, draws what comes back, and tells the tags after `words`. */
async function draw(mine, words) {
  const { picture, tags } = mine;
  const sight = await inTurn(() => network.look(picture.width, picture.rgba, tags));
  if (shown !== mine) return;
  const focused = [...element('tags').children].indexOf(document.activeElement);
  element('tags').replaceChildren(...network.classes.map((name, number) => {
    const sure = 1 / (1 + Math.exp(-sight.logits[number]));
    const button = make('button', { type: 'button', ariaPressed: Boolean(tags[number]) },
      [swatch(number + 1), name, make('small', { textContent: `${Math.round(100 * sure)} %` })]);
    button.onclick = () => {
      tags[number] = 1 - tags[number];
      draw(mine, 'Seeds are shown of').catch(fail);
    };
    return button;
  }));
  element('tags').children[focused]?.focus();
  element('seen').style.setProperty('--columns', sight.pictures.length);
  element('seen').replaceChildren(...figures(sight.pictures, picture.name));
  element('sight').hidden = false;
  const names = network.classes.filter((_, number) => tags[number]);
  element('look-status').textContent = `${words}: ${names.join(', ') || 'none of its classes'}.`;
}

function swatch(number) {
  const made = make('span', { className: 'swatch' });
  made.style.background = colourOf(number);
  return made;
}

function offerPictures() {
  element('samples').append(...Object.entries(SAMPLES).map(([name, subject]) => {
    const picture = make('img', { src: name, alt: `Photograph of ${subject}` });
    const button = make('button', { type: 'button', ariaPressed: false }, [picture]);
    button.onclick = () => fetched(name)
      .then((bytes) => show(new File([bytes], name, { type: 'image/jpeg' }), button))
      .catch(fail);
    return button;
  }));
  element('file').disabled = false;
  element('file').onchange = ({ target }) => {
    if (target.files[0]) show(target.files[0]);
    target.value = '';
  };
  const over = (event, is) => {
    event.preventDefault();
    document.body.classList.toggle('over', is);
  };
  addEventListener('dragover', (event) => over(event, true));
  addEventListener('dragleave', (event) => over(event, false));
  addEventListener('drop', (event) => {
    over(event, false);
    if (event.dataTransfer.files[0]) show(event.dataTransfer.files[0]);
  });
}

// Learning

let lesson, learning = false;

function tell(button, status) {
  element('learn').textContent = button;
  element('learn-status').textContent = status;
}

async function learn() {
  element('alert').hidden = true;
  learning = true;
  element('again').hidden = true;
  tell('Pause', 'Learning: curves and pictures change as it goes.');
  await breathe();
  lesson ??= new Lesson(device, STEPS, 1);
  element('progress').max = STEPS;
  element('progress').hidden = false;
  let drawn = 0, seconds = 0;
  const before = lesson.done;
  while (learning && lesson.done < STEPS) {
    const start = performance.now();
    await inTurn(() => lesson.step());
    const now = performance.now();
    element('progress').value = lesson.done;
    seconds += (now - start) / 1000;
    const rate = (lesson.batch * (lesson.done - before)) / seconds;
    element('pace').textContent = `step ${lesson.done} of ${STEPS}, ${rate.toPrecision(2)} pictures a second`;
    if (now - drawn > 250 || lesson.done === STEPS) {
      element('curves').innerHTML = lesson.curves();
      drawn = now;
    }
    if (lesson.done === 1 || lesson.done % LOOK_EVERY === 0) await glimpse();
    await breathe();
  }
  learning = false;
  const done = lesson.done === STEPS;
  element('again').hidden = false;
  element('learn').hidden = done;
  tell('Go on', done ? 'It has learned from every picture once.' : `Paused after ${one(lesson.done, 'step')}.`);
  if (done) element('again').focus();
}

async function glimpse() {
  const seen = await inTurn(() => lesson.look());
  element('glimpses').replaceChildren(...seen.map(({ caption, pictures }) => {
    const names = make('p', { className: 'caption', textContent: caption });
    const row = make('div', { className: 'row' }, [...figures(pictures, caption), names]);
    row.style.setProperty('--columns', pictures.length);
    return row;
  }));
}

function offerLesson() {
  const stop = (error) => {
    learning = false;
    tell('Go on', '');
    element('again').hidden = false;
    fail(error);
  };
  element('learn').disabled = false;
  element('learn').onclick = () => (learning ? (learning = false) : learn().catch(stop));
  element('again').onclick = () => {
    lesson.free();
    lesson = undefined;
    element('learn').hidden = false;
    element('learn').focus();
    learn().catch(stop);
  };
}

// Start

async function start() {
  if (!isSecureContext) throw new Error('WebGPU works only on pages from https or localhost; please open it there.');
  if (!navigator.gpu) {
    throw new Error('This browser has no WebGPU, which everything here computes with. Chrome and Edge have it since ' +
      '113, Safari since 26, Firefox since 141.');
  }
  const [weights] = await Promise.all([fetched(MODEL), init()]);
  device = await Device.open().catch(() => {
    throw new Error('The browser offers no graphics adapter for WebGPU; its settings may have hardware acceleration ' +
      'switched off.');
  });
  network = new Network(device, MODEL, new Uint8Array(weights));
  element('device').textContent = device.name ? `It computes on ${device.name}.` : '';
  const labels = ['background', ...network.classes];
  element('legend').append(...labels.map((name, number) => make('li', {}, [swatch(number), name])));
  offerPictures();
  offerLesson();
  element('look-status').textContent = 'Ready.';
  element('samples').firstChild.click();
}

start().catch((error) => {
  element('look-status').textContent = '';
  fail(error);
});
