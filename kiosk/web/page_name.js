// @ts-check
// The name that the server gave this page. Requests carry it, so that they belong to this page's visit: nobody else
// sees the pictures that its visitor brought.

const HEADER = 'livetint-page';
/** Where a page that is left keeps its name for the page that is loaded next in the same tab. */
const LEFT = 'livetint-left';

let name = '';

/** The name, '' until the server has given one. */
export const pageName = () => name;

/** @param {string} given */
export function setPageName(given) {
  name = given;
}

/** Headers of a request of this page. @returns {Record<string, string>} */
export const pageHeaders = () => (name ? { [HEADER]: name } : {});

/** An address that is requested without headers of ours, as that of an image. @param {string} address */
export const ofThisPage = (address) => (name ? `${address}?page=${encodeURIComponent(name)}` : address);

/** The name of the page that was left in this tab before this one was loaded, '' for none. It is told once. */
export function takeLeftPage() {
  try {
    const left = sessionStorage.getItem(LEFT) ?? '';
    sessionStorage.removeItem(LEFT);
    return left;
  } catch {
    // Without storage the page takes any free place.
    return '';
  }
}

// Not before the page is left: the storage of a tab is copied where the tab is duplicated.
addEventListener('pagehide', () => {
  try {
    if (name) sessionStorage.setItem(LEFT, name);
  } catch {
    // As above.
  }
});
addEventListener('pageshow', ({ persisted }) => persisted && takeLeftPage());
