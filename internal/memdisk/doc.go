// Package memdisk has a disk in memory, for tests. Every call can fail, the process
// that uses the disk can die, and the power can fail.
//
// The disk guarantees no more than a real one: written bytes survive a power failure
// if the file was synced later, and names survive if their directory was synced
// later. Of everything else any part may survive, in any order, torn at any sector.
package memdisk
