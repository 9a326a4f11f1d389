"""Where a sweep trains: processes of this machine, a Ray cluster, or jobs of SLURM."""
