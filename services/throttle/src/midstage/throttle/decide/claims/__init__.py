"""What is written of a meter, so that its successor never allows more than the meter did."""
