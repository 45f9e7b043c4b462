// Package transaction has helpers for agents that check messages: they store and
// read verdicts, and give access to the parts of a message.
package transaction
