// The page of `tagseg tag`: shows one image after another, sends each change at once, and takes over what other windows
// and the network have changed.

/** Time between two questions for changes. */
const POLL_MS = 1000;
/** An opinion at odds with a tag by more than this makes an image doubtful. */
const AT_ODDS = 0.5;
/** Keys of the classes, in order; the other keys have a meaning of their own. */
const KEYS = [...'123456789abcdefghijklmnopqrstuvwxyz'];

const element = (id) => document.getElementById(id);
const make = (tag, properties = {}, children = []) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
};

let version = 0, classes = [], network = null;
/** All images, by index. */
const images = [];
/** Indices of the images that the filter shows, in order, and the place of the shown one. */
let order = [], shown = -1;
/** Whether the person has done anything yet: until then, the order may change by itself. */
let begun = false;
let seedsWanted = false;
/** Changes that take back those of this window. */
const undos = [];

function fail(error) {
  element('alert').textContent = error ? error.message : '';
  element('alert').hidden = !error;
}

async function asked(path, body) {
  const options = body && { method: 'POST', body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } };
  const answer = await fetch(path, options).catch(() => {
    throw new Error('The program does not answer. Start `tagseg tag` again and open the address that it prints.');
  });
  if (!answer.ok) throw new Error((await answer.text()).trim());
  return answer.json();
}

/** Takes over what the program knows. */
function take(state) {
  if (state.version < version) return;
  version = state.version;
  const sameClasses = JSON.stringify(classes) === JSON.stringify(state.classes);
  [classes, network] = [state.classes, state.network];
  for (const image of state.images) images[image.index] = image;
  element('folder').textContent = state.folder;
  if (order.length === 0 || (!begun && network && state.images.length > 0)) arrange();
  if (!sameClasses || state.images.length > 0) draw();
  element('progress').textContent = told();
}

function told() {
  const tagged = images.filter(({ tags }) => tags).length;
  const opinions = network && network.judged < images.length ? `, the network has seen ${network.judged}` : '';
  return `${tagged} of ${images.length} tagged${opinions}`;
}

/** How far the network's opinion is from a tag, from 0 to 1. */
function distance(image, name) {
  const seen = image.opinion?.[name];
  return seen === undefined || !image.tags ? 0 : Math.abs(Number(image.tags.includes(name)) - seen);
}
const disagreement = (image) => Math.max(0, ...classes.map((name) => distance(image, name)));
const isDoubtful = (image) => image.doubtful || disagreement(image) > AT_ODDS;

const FILTERS = {
  all: () => true,
  untagged: ({ tags }) => !tags,
  tagged: ({ tags }) => Boolean(tags),
  doubtful: isDoubtful,
};

/** Chooses the images that the filter shows, those at odds with the network first. */
function arrange() {
  order = images.filter(FILTERS[element('filter').value]).map(({ index }) => index);
  if (network) {
    const by = new Map(order.map((index) => [index, disagreement(images[index])]));
    order.sort((a, b) => by.get(b) - by.get(a) || a - b);
  }
  show(order.length > 0 ? 0 : -1);
}

function show(place) {
  shown = place;
  draw();
}

const current = () => images[order[shown]];

let drawnPhoto;

function draw() {
  const image = current();
  const photo = element('photo');
  photo.hidden = !image;
  for (const id of ['none', 'doubt', 'seeds']) element(id).disabled = !image;
  element('previous').disabled = shown <= 0;
  element('next').disabled = shown >= order.length - 1;
  element('undo').disabled = undos.length === 0;
  element('seeds').hidden = !network;
  element('name').textContent = image ? image.id : 'No image is left here.';
  element('place').textContent = image ? `${shown + 1} of ${order.length}` : '';
  element('fault').textContent = image?.fault ?? '';
  if (image && drawnPhoto !== image.index) {
    drawnPhoto = image.index;
    photo.src = `image/${image.index}`;
    photo.alt = image.id;
    const next = images[order[shown + 1]];
    if (next) new Image().src = `image/${next.index}`;
  }
  drawClasses(image);
  element('doubt').ariaPressed = Boolean(image?.doubtful);
  drawSeeds(image);
}

function drawClasses(image) {
  const focused = [...element('classes').children].indexOf(document.activeElement);
  element('classes').replaceChildren(...classes.map((name, number) => {
    const is = Boolean(image?.tags?.includes(name));
    const seen = image?.opinion?.[name];
    const button = make('button', { type: 'button', disabled: !image, ariaPressed: is }, [
      make('kbd', { textContent: KEYS[number] ?? '' }), ` ${name} `,
      ...(seen === undefined ? [] : [make('small', { textContent: `${Math.round(100 * seen)} %` })]),
    ]);
    if (image && distance(image, name) > AT_ODDS) {
      button.classList.add('differs');
      button.title = 'The network disagrees.';
    }
    button.onclick = () => toggle(name);
    return button;
  }));
  element('classes').children[focused]?.focus();
}

/** What the drawing shows, so that it is asked for once. */
let drawnSeeds = '';

function drawSeeds(image) {
  const drawing = element('drawing');
  element('seeds').ariaPressed = seedsWanted;
  const wanted = image && network && seedsWanted ? `seeds/${image.index}?${(image.tags ?? []).join()}` : '';
  if (wanted === drawnSeeds) return;
  drawnSeeds = wanted;
  drawing.hidden = true;
  if (!wanted) return;
  element('status').textContent = 'The network looks …';
  drawing.onload = () => {
    drawing.hidden = false;
    drawing.alt = `${image.id}, with the places where the network sees ${(image.tags ?? []).join(', ') || 'something'}`;
    element('status').textContent = '';
  };
  drawing.onerror = () => (element('status').textContent = 'The network cannot draw this image.');
  drawing.src = wanted;
}

// Changes

/** One after another, so that each sees the one before. */
let last = Promise.resolve();

/** Sends a change; `undo` takes it back, and `words` tell what was done. */
function change(body, undo, words) {
  begun = true;
  last = last.then(async () => {
    try {
      take(await asked(`change?since=${version}`, body));
      fail();
      if (undo) undos.push(undo);
      element('status').textContent = words;
    } catch (error) {
      fail(error);
    }
    draw();
  });
}

function toggle(name) {
  const image = current();
  if (!image) return;
  const is = image.tags?.includes(name);
  const { index } = image;
  const back = is ? [{ image: index, add: name }]
    : [{ image: index, remove: name }, ...(image.tags ? [] : [{ image: index, seen: false }])];
  change({ image: index, [is ? 'remove' : 'add']: name }, { index, changes: back },
    is ? `${image.id} does not show ${name}.` : `${image.id} shows ${name}.`);
}

/** The image shows none of the classes. */
function none() {
  const image = current();
  if (!image) return;
  const { index } = image, tags = image.tags ?? [];
  const before = { index, changes: image.tags ? tags.map((name) => ({ image: index, add: name })) : [{ image: index, seen: false }] };
  for (const name of tags.slice(0, -1)) change({ image: index, remove: name }, undefined, '');
  const final = tags.length > 0 ? { image: index, remove: tags.at(-1) } : { image: index, seen: true };
  if (image.tags && tags.length === 0) return;
  change(final, before, `${image.id} shows none of the classes.`);
}

function doubt() {
  const image = current();
  if (!image) return;
  const { index, doubtful } = image;
  change({ image: index, doubtful: !doubtful }, { index, changes: [{ image: index, doubtful }] },
    doubtful ? `${image.id} is no longer doubtful.` : `${image.id} is doubtful.`);
}

function undo() {
  last = last.then(() => {
    const undone = undos.pop();
    if (!undone) return;
    for (const body of undone.changes) change(body, undefined, `Undone for ${images[undone.index].id}.`);
    const place = order.indexOf(undone.index);
    if (place >= 0) show(place);
  });
}

function step(by) {
  begun = true;
  const place = shown + by;
  if (place >= 0 && place < order.length) show(place);
}

// Keys, buttons and fingers

addEventListener('keydown', (event) => {
  if (element('help').open || event.target.matches('input, select')) return;
  if (event.ctrlKey || event.metaKey || event.altKey) {
    if (event.key === 'z' && !event.altKey) {
      event.preventDefault();
      undo();
    }
    return;
  }
  const action = {
    ArrowLeft: () => step(-1), ArrowRight: () => step(1), Backspace: undo, ' ': toggleSeeds, 0: none, '?': doubt,
  }[event.key];
  const name = classes[KEYS.indexOf(event.key.toLowerCase())];
  // A button that has the focus is pressed by the space bar.
  if (event.key === ' ' && event.target.matches('button')) return;
  if (action) action();
  else if (name !== undefined) toggle(name);
  else return;
  event.preventDefault();
});

function toggleSeeds() {
  if (!network) return;
  seedsWanted = !seedsWanted;
  draw();
}

element('previous').onclick = () => step(-1);
element('next').onclick = () => step(1);
element('none').onclick = none;
element('doubt').onclick = doubt;
element('seeds').onclick = toggleSeeds;
element('undo').onclick = undo;
element('help-open').onclick = () => element('help').showModal();
element('filter').onchange = ({ target }) => {
  begun = true;
  arrange();
  target.blur();
};
element('new-class').onsubmit = (event) => {
  event.preventDefault();
  const name = element('class-name').value.trim();
  if (!name) return;
  change({ class: name }, undefined, `${name} is a class now.`);
  element('class-name').value = '';
  element('class-name').blur();
};

let touched;
element('frame').addEventListener('pointerdown', ({ pointerType, clientX }) => {
  touched = pointerType === 'mouse' ? undefined : clientX;
});
element('frame').addEventListener('pointerup', ({ clientX }) => {
  const moved = clientX - (touched ?? clientX);
  touched = undefined;
  if (Math.abs(moved) > 50) step(moved < 0 ? 1 : -1);
});
element('frame').style.touchAction = 'pan-y pinch-zoom';

async function poll() {
  await last;
  try {
    take(await asked(`state?since=${version}`));
    if (element('alert').dataset.poll) fail();
    delete element('alert').dataset.poll;
  } catch (error) {
    fail(error);
    element('alert').dataset.poll = true;
  }
  setTimeout(poll, POLL_MS);
}

poll();
