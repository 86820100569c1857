"""What prunes while a model trains: masks, rankings and the hooks that keep or adapt them."""
