"""Pure decisions of deploy: specs, room, replicas, rollouts."""
