// @ts-check
// The staff page's list of photographs: sends a new one, and says what became of it.

const form = /** @type {HTMLFormElement | null} */ (document.getElementById('add'));
const input = form?.querySelector('input');

input?.addEventListener('change', async () => {
  const file = input.files?.[0];
  const status = form?.querySelector('[role=status]');
  if (!file || !form || !status) return;
  status.textContent = form.dataset.wait ?? '';
  input.disabled = true;
  try {
    const reply = await fetch(`/photographs/add?name=${encodeURIComponent(file.name)}`, { method: 'POST', body: file });
    if (reply.status === 201) {
      const { file: name } = await reply.json();
      location.assign(`/photographs/edit?file=${encodeURIComponent(name)}`);
      return;
    }
    status.textContent = await reply.text();
  } catch (error) {
    status.textContent = String(error);
  }
  input.disabled = false;
  input.value = '';
});
