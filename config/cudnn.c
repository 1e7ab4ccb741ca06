/* Source: keras/saving/legacy/hdf5_format.py, _convert_rnn_weights. */
#include "cudnn.h"

#include <string.h>

bool cudnn_is_stored(const struct layer_tensor *t, const struct named_tensor *found)
{
    if (!t->cell || !t->cell->cudnn)
        return false;
    size_t columns = t->cell->class->gates * t->cell->units;
    if (t->of_cell.slot == CELL_BIAS) /* the bias of the inputs, then the bias of the states */
        return found->rank == 1 && found->shape[0] == 2 * columns;
    return found->rank == 2 && t->rank == 2 && found->shape[0] == t->shape[0] && found->shape[1] == t->shape[1];
}

/* cuDNN needs the transposed matrix of each gate. Keras stored the transposed kernel with the shape of the kernel
   itself. */
static void convert_kernel(size_t rows, size_t units, size_t gates, const float *from, float *to)
{
    size_t columns = gates * units;
    for (size_t gate = 0; gate < gates; gate++)
        for (size_t row = 0; row < rows; row++)
            for (size_t unit = 0; unit < units; unit++) {
                size_t at = unit * rows + row; /* position in the gate's transposed matrix */
                to[row * columns + gate * units + unit] = from[at / units * columns + gate * units + at % units];
            }
}

void cudnn_convert(const struct layer_tensor *t, const float *from, float *to)
{
    size_t units = t->cell->units, gates = t->cell->class->gates, columns = gates * units;
    if (t->of_cell.slot == CELL_KERNEL || t->of_cell.slot == CELL_RECURRENT_KERNEL)
        convert_kernel(t->shape[0], units, gates, from, to);
    else if (t->cell->reset_after)
        memcpy(to, from, 2 * columns * sizeof *to);
    else
        for (size_t i = 0; i < columns; i++)
            to[i] = from[i] + from[columns + i];
}
