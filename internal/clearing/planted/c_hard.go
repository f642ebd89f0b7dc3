package planted

// cHard are modules in C with the hard cases.
var cHard = []func(*module){}
