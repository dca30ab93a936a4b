// Runs before the first paint: the colours that were chosen last, so that none flash.
try {
  const theme = localStorage.getItem("troupe-theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Storage may be switched off; then the system's colours are used.
}
