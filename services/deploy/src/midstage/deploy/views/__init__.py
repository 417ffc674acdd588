"""Pure read models of deploy: edges, status, differences."""
