// @ts-check
// CSS pixels in a millimetre of the panel. The style sheets size buttons by it (--mm).

const CSS_PX_PER_MM = 96 / 25.4;
/** The longer side of a panel of unknown size is taken to be at most this long. */
const MAX_UNKNOWN_MM = 480;
/** The page needs this much space. On a panel under about 10 inches all targets shrink alike, to no less than 9 mm on one of 7. */
const MIN_LONG_MM = 170;
const MIN_SHORT_MM = 118;

/** Keep --mm up to date. @param {number} width_mm of the panel; 0: unknown @returns {() => number} CSS pixels per millimetre now */
export function pixelsPerMm(width_mm) {
  let px = CSS_PX_PER_MM;
  const measure = () => {
    const [long, short] = [Math.max(innerWidth, innerHeight), Math.min(innerWidth, innerHeight)];
    const real = width_mm ? screen.width / width_mm : Math.max(CSS_PX_PER_MM, long / MAX_UNKNOWN_MM);
    px = Math.min(real, long / MIN_LONG_MM, short / MIN_SHORT_MM);
    document.documentElement.style.setProperty('--mm', `${px}px`);
  };
  measure();
  addEventListener('resize', measure);
  return () => px;
}
