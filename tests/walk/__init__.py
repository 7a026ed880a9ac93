"""Random walks: any operation, any fault, in any order, in a world where every effect is watched."""
