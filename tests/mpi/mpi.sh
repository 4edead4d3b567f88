# mpi.sh - how tests run programs by mpirun.
# shellcheck shell=sh

has_mpi() { # BUILD: the module and mpirun are there, or why_not
    why_not=''
    [ -e "$1/libvlqa-mpi.so" ] || why_not='no libvlqa-mpi.so: CMake has found no MPI'
    command -v mpirun >/dev/null || why_not='no mpirun'
    LD_LIBRARY_PATH=$(cd "$1" && pwd)
    export LD_LIBRARY_PATH
    [ -z "$why_not" ]
}

# on_ranks N [OPTION...] PROGRAM [ARGUMENT...]. Containers often forbid processes to read each other's
# memory, which Open MPI would rather do.
on_ranks() {
    n=$1
    shift
    mpirun --allow-run-as-root --oversubscribe -x LD_LIBRARY_PATH \
        --mca btl_vader_single_copy_mechanism none -n "$n" "$@" </dev/null
}
