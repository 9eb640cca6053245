"""What was found enters a report: counts, costs, a simulated run, what earlier runs left."""
