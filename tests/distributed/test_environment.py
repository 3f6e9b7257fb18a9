from __future__ import annotations

import pytest

from yoloscale.distributed.environment import from_environment, rendezvous_of_step, variables_of
from yoloscale.errors import ConfigError

TORCHRUN = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}


def test_a_process_started_alone_is_rank_0_of_1() -> None:
    ranks = from_environment({})
    assert (ranks.rank, ranks.world_size, ranks.local_rank, ranks.local_world_size) == (0, 1, 0, 1)
    assert ranks.is_first
    assert ranks.is_first_of_node


def test_what_torchrun_says() -> None:
    ranks = from_environment(TORCHRUN)
    assert (ranks.rank, ranks.world_size, ranks.local_rank, ranks.local_world_size) == (5, 8, 1, 4)
    assert not ranks.is_first
    assert not ranks.is_first_of_node


def test_the_first_rank_of_a_second_node() -> None:
    ranks = from_environment({**TORCHRUN, "RANK": "4", "LOCAL_RANK": "0"})
    assert not ranks.is_first
    assert ranks.is_first_of_node
    assert ranks.host


SRUN = {
    "SLURM_JOB_ID": "42",
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NODELIST": "rack[02-04]",
    "SLURM_STEP_NUM_NODES": "3",
    "SLURM_STEP_NUM_TASKS": "5",
    "SLURM_STEP_TASKS_PER_NODE": "2(x2),1",
    "SLURM_PROCID": "3",
    "SLURM_NODEID": "1",
    "SLURM_LOCALID": "1",
}


def test_a_task_of_an_srun_is_a_rank() -> None:
    ranks = from_environment(SRUN)
    assert (ranks.rank, ranks.world_size, ranks.local_rank, ranks.local_world_size) == (3, 5, 1, 2)
    assert ranks.is_task


def test_the_tasks_of_an_srun_meet_on_its_first_host_at_one_port() -> None:
    found = rendezvous_of_step(SRUN)
    assert found["MASTER_ADDR"] == "rack02"
    assert 15000 <= int(found["MASTER_PORT"]) < 31000
    assert rendezvous_of_step({**SRUN, "SLURM_PROCID": "0", "SLURM_NODEID": "0", "SLURM_LOCALID": "0"}) == found
    assert rendezvous_of_step({**SRUN, "MASTER_ADDR": "here", "MASTER_PORT": "1"}) == {}


def test_a_batch_script_and_the_shell_of_salloc_are_no_ranks() -> None:
    batch = {name: value for name, value in SRUN.items() if "STEP" not in name}
    assert from_environment(batch).world_size == 1
    assert from_environment({**SRUN, "SLURM_STEP_ID": str(0xFFFFFFFA)}).world_size == 1
    assert rendezvous_of_step(batch) == {}


def test_torchrun_in_an_srun_with_one_task_a_node_is_torchruns() -> None:
    step = {**SRUN, "SLURM_STEP_NUM_TASKS": "3", "SLURM_STEP_TASKS_PER_NODE": "1(x3)", "SLURM_LOCALID": "0"}
    assert from_environment({**step, **TORCHRUN}).rank == 5


def test_torchrun_in_every_task_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"torchrun in each of 5 tasks on 3 nodes"):
        from_environment({**SRUN, **TORCHRUN, "TORCHELASTIC_RUN_ID": "none"})


def test_a_site_may_set_torchs_variables_for_each_task_of_an_srun() -> None:
    site = {"RANK": "3", "WORLD_SIZE": "5", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
    ranks = from_environment({**SRUN, **site})
    assert (ranks.rank, ranks.is_task) == (3, True)


def test_rank_0_that_a_script_has_exported_to_all_of_its_tasks_is_refused() -> None:
    """`export RANK=$SLURM_PROCID WORLD_SIZE=$SLURM_NTASKS`, and srun below: all would wait for the others for ever."""
    exported = {"RANK": "0", "WORLD_SIZE": "5"}
    with pytest.raises(
        ConfigError, match=r"0 in task 3 of an srun with 5 tasks[^`]*`unset RANK WORLD_SIZE LOCAL_RANK`"
    ):
        from_environment({**SRUN, **exported})
    first = {**SRUN, "SLURM_PROCID": "0", "SLURM_NODEID": "0", "SLURM_LOCALID": "0"}
    assert from_environment({**first, **exported}).rank == 0, "ends with the others, which srun does not leave alone"
    agent = {"SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_TASKS_PER_NODE": "1(x2)", "SLURM_PROCID": "1"}
    assert from_environment({**SRUN, **agent, "RANK": "0", "WORLD_SIZE": "8"}).rank == 0, "of one of the agents' ranks"


def test_libraries_are_told_what_srun_says() -> None:
    """Ultralytics reads these at its import, and gathers what ranks have evaluated only if it finds them."""
    assert variables_of(from_environment(SRUN)) == {
        "RANK": "3",
        "WORLD_SIZE": "5",
        "LOCAL_RANK": "1",
        "LOCAL_WORLD_SIZE": "2",
    }
    assert variables_of(from_environment(TORCHRUN)) == TORCHRUN


def test_what_a_site_leaves_out_slurm_tells() -> None:
    ranks = from_environment({**SRUN, "RANK": "3", "WORLD_SIZE": "5"})
    assert (ranks.local_rank, ranks.local_world_size, ranks.node, ranks.nodes) == (1, 2, 1, 3)


def test_the_node_of_a_rank_that_is_dealt_out_cyclically() -> None:
    """srun --distribution=cyclic: ranks 0, 2 and 1, 3 share a node."""
    cyclic = {**SRUN, "SLURM_STEP_NUM_NODES": "2", "SLURM_STEP_NUM_TASKS": "4", "SLURM_STEP_TASKS_PER_NODE": "2(x2)"}
    ranks = from_environment({**cyclic, "SLURM_PROCID": "1", "SLURM_NODEID": "1", "SLURM_LOCALID": "0"})
    assert (ranks.rank, ranks.node, ranks.nodes) == (1, 1, 2)


def test_the_node_of_torchruns_rank() -> None:
    assert (from_environment(TORCHRUN).node, from_environment(TORCHRUN).nodes) == (1, 2)
    elastic = from_environment({**TORCHRUN, "GROUP_RANK": "2", "GROUP_WORLD_SIZE": "3"})
    assert (elastic.node, elastic.nodes) == (2, 3)
