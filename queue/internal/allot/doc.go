// Package allot divides a limit among the nodes that share it. It has no state and no
// clock.
package allot
