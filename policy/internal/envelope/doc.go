// Package envelope changes who gets a message, and what is said of it in the
// header, for the agents that do so by their own authority.
package envelope
