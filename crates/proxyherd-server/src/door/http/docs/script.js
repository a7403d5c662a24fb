// Makes the command lines name this server, and gives each a button that copies it.
"use strict";
for (const line of document.querySelectorAll(".line")) {
  const code = line.querySelector("code");
  const button = line.querySelector("button");
  code.textContent = code.textContent.replace("http://127.0.0.1:8000", location.origin);
  // Browsers copy only on pages that came by TLS or from this machine.
  if (!navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Failed";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
}
