"""Charts as inline SVG: each follows the page's colors, has a title and a description, and needs no script."""
