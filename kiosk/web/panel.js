// @ts-check
// Millimetres of the panel. Buttons are sized by them (--mm in the style sheets).

const CSS_PX_PER_MM = 96 / 25.4;
/** A panel of unknown size is thought no wider than this along its longer side. */
const UNKNOWN_MM = 480;
/** The page needs this much room. On a panel smaller than about 10 inches all targets shrink alike, to no less than 9 mm on one of 7. */
const LONG_MM = 170;
const SHORT_MM = 118;

/** @param {number} width_mm of the panel; 0: unknown @returns {() => number} CSS pixels of a millimetre */
export function millimetre(width_mm) {
  let px = CSS_PX_PER_MM;
  const measure = () => {
    const [long, short] = [Math.max(innerWidth, innerHeight), Math.min(innerWidth, innerHeight)];
    const real = width_mm ? screen.width / width_mm : Math.max(CSS_PX_PER_MM, long / UNKNOWN_MM);
    px = Math.min(real, long / LONG_MM, short / SHORT_MM);
    document.documentElement.style.setProperty('--mm', `${px}px`);
  };
  measure();
  addEventListener('resize', measure);
  return () => px;
}
