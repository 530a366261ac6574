/* The theme that was chosen, set before anything is drawn so that nothing flashes. */
try {
  const theme = localStorage.getItem("aiki.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  /* no storage: as the system has it */
}
