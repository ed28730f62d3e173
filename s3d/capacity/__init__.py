"""How much disk there is for what: pure decisions. Who counts and who carries out is on other floors."""
