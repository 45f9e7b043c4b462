// Package marks records which messages are in delivery in a file that is mapped into
// memory. To write a record is one write to memory, and the kernel keeps it when the
// process dies. So the next process knows which messages may have been the reason.
//
// The records are in an array of slots. A slot of zeros is free. The file is never
// synced: after a power failure it has some earlier state.
package marks
