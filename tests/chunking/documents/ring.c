/* 环形缓冲区：单生产者、单消费者。 */
#include <stdint.h>
#include <string.h>

#define RING_SIZE 64

struct ring {
    uint8_t data[RING_SIZE];
    unsigned head; /* 下一个写入的位置 */
    unsigned tail;
};

/* Empties the ring. */
void ring_clear(struct ring *r)
{
    memset(r, 0, sizeof *r);
}

/* 写入一个字节；满时返回 -1。 */
int ring_put(struct ring *r, uint8_t byte)
{
    unsigned next = (r->head + 1) % RING_SIZE;
    if (next == r->tail)
        return -1;
    r->data[r->head] = byte;
    r->head = next;
    return 0;
}

int ring_get(struct ring *r, uint8_t *byte)
{
    if (r->head == r->tail)
        return -1;
    *byte = r->data[r->tail];
    r->tail = (r->tail + 1) % RING_SIZE;
    return 0;
}
