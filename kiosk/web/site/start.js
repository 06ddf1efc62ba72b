// Starts a published page, or says in one sentence why it cannot start. It is written for old browsers too: they have
// to be able to read the sentence. `SENTENCES`, language → key → sentence, is put before this script.
/* global SENTENCES */
(function () {
  'use strict';
  // A module with one instruction on vectors of 128 bits.
  var SIMD = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11];
  var started = false;
  var stopped = false;

  function language() {
    var wanted = navigator.languages || [navigator.language || ''];
    var offered = Object.keys(SENTENCES);
    for (var i = 0; i < wanted.length; i += 1) {
      var tag = wanted[i].toLowerCase().split('-')[0];
      if (offered.indexOf(tag) >= 0) return tag;
    }
    return offered[0];
  }

  /** Cover the page with a sentence, and a button that reloads it where that may help. */
  function stop(key, reloads) {
    if (stopped) return;
    stopped = true;
    var tag = language();
    var cover = document.createElement('div');
    cover.id = 'stopped';
    cover.lang = tag;
    cover.dir = tag === 'ar' ? 'rtl' : 'ltr';
    cover.setAttribute('role', 'alert');
    var styles = {
      position: 'fixed', left: '0', top: '0', width: '100%', height: '100%', zIndex: '99', background: '#100e0c', color: '#f3ece1',
      font: '20px/1.5 Georgia, serif', textAlign: 'center', padding: '30vh 10vw 0', boxSizing: 'border-box',
    };
    for (var name in styles) cover.style[name] = styles[name];
    var sentence = document.createElement('p');
    sentence.textContent = SENTENCES[tag][key];
    cover.appendChild(sentence);
    if (reloads) {
      var button = document.createElement('button');
      button.textContent = SENTENCES[tag].reload;
      button.onclick = function () { location.reload(); };
      button.style.font = 'inherit';
      button.style.padding = '10px 30px';
      button.style.marginTop = '20px';
      cover.appendChild(button);
    }
    document.documentElement.className = '';
    document.body.textContent = '';
    document.body.appendChild(cover);
  }

  /** Whether a newer page lies at this address: the folder of this one may be gone. */
  function isRenewed(then) {
    var folder = document.baseURI.split('/').slice(-2)[0];
    fetch(new URL('../index.html', document.baseURI), { cache: 'no-store' }).then(function (reply) {
      if (!reply.ok) throw new Error(String(reply.status));
      return reply.text();
    }).then(function (text) { then(text.indexOf('"' + folder + '/"') < 0); }, function () { then(false); });
  }

  /** A part of the page is missing or damaged. */
  function stopDamaged() {
    isRenewed(function (renewed) { stop(renewed ? 'site_renewed' : 'page_damaged', true); });
  }

  function fits() {
    if (!('noModule' in HTMLScriptElement.prototype) || typeof WebAssembly !== 'object') return false;
    if (typeof OffscreenCanvas !== 'function' || typeof DecompressionStream !== 'function') return false;
    if (!WebAssembly.validate(new Uint8Array(SIMD))) return false;
    var gl = document.createElement('canvas').getContext('webgl2');
    if (!gl) return false;
    var extension = gl.getExtension('WEBGL_lose_context');
    if (extension) extension.loseContext();
    return true;
  }

  function start() {
    if (location.protocol === 'file:') stop('site_no_server', false);
    else if (!fits()) stop('browser_old', false);
    else {
      var main = document.createElement('script');
      main.type = 'module';
      main.src = 'main.js';
      main.onerror = stopDamaged;
      document.head.appendChild(main);
    }
  }

  // Until the page has started, an error means that it will not.
  function onError(event) {
    // Browsers call it an error when an element is resized while they lay out the page.
    var harmless = /ResizeObserver/.test(event.message || '');
    if (!started && !harmless) stopDamaged();
  }
  window.addEventListener('error', onError);
  window.addEventListener('unhandledrejection', onError);
  /** For the page: it has started; nothing can be answered any more; whether a newer page is published. */
  window.livetintStart = { done: function () { started = true; }, stop: stop, stopDamaged: stopDamaged, isRenewed: isRenewed };
  if (document.readyState === 'loading') document.addEventListener('DOMContentLoaded', start);
  else start();
})();
