// Package logfile is what the logs in files have in common: [Files], which
// rotate, and the cells of their lines. The protocol logs, the message
// tracking log and the tracking of rules are written with it.
//
// A log is a file of comma-separated values (RFC 4180), one line for each
// event, that is safe to look at: no cell can end its line, act on a terminal
// or turn the order of its characters, and a spreadsheet takes none for a
// formula. What is escaped for that, [Cell] reads back.
package logfile
